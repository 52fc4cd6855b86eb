"""BOLT 4, "Onion Routing Protocol"."""

from __future__ import annotations

from .rule import not_ours, shown

_BLINDING = "onion/test_blinding.py"
_MESSAGE = "onion/test_message.py"
_PATHS = "node/ways/test_payment_paths.py"
_PLUGIN = "node/events/test_reply_plugin.py"

PATHS_WRITTEN = (
    shown(
        "MUST",
        "leads to the writer, and names the first node",
        f"{_MESSAGE}::test_reply_path",
        f"{_PATHS}::test_a_path",
    ),
    shown(
        "SHOULD",
        "takes its first key from a secure source",
        f"{_BLINDING}::test_every_path_has_a_key_of_its_own",
    ),
    shown(
        "MUST",
        "derives shared secrets, path keys and blinded node ids as prescribed",
        f"{_BLINDING}::test_paths_of_the_vectors",
        f"{_BLINDING}::test_keys_of_the_vectors",
    ),
    shown(
        "MUST",
        "says so in next_path_key_override where another path key follows",
        f"{_BLINDING}::test_the_paths_of_the_vectors_join",
        f"{_MESSAGE}::test_into_a_path_of_theirs",
    ),
    shown(
        "MAY",
        "knows its own path again by path_id",
        f"{_MESSAGE}::test_reply_path",
        f"{_PATHS}::test_a_path",
    ),
    shown(
        "MUST",
        "encrypts each hop's data with ChaCha20-Poly1305, its own key and a zero nonce",
        f"{_BLINDING}::test_paths_of_the_vectors",
        f"{_BLINDING}::test_what_was_changed_cannot_be_read",
    ),
    shown(
        "SHOULD",
        "pads the data of all hops to one length",
        f"{_BLINDING}::test_padding_makes_all_data_equally_long",
        f"{_PATHS}::test_hops_are_equally_long",
    ),
    not_ours("MAY", "adds dummy hops", "we add none"),
)

PATHS_READ = (
    shown(
        "MUST",
        "puts its own payloads in front, up to the first node",
        f"{_MESSAGE}::test_into_a_path_of_theirs",
    ),
    shown(
        "MUST",
        "gives each hop the data that the path has for it",
        f"{_MESSAGE}::test_paths_are_joined_without_a_change_to_theirs",
    ),
    shown(
        "MUST",
        "encrypts each layer for the hop's blinded node id",
        f"{_MESSAGE}::test_route_of_the_vector",
        f"{_MESSAGE}::test_payloads_of_the_vector",
    ),
    shown(
        "MUST",
        "gives the node before the first one the path's first key (next_path_key_override)",
        f"{_MESSAGE}::test_into_a_path_of_theirs",
        "node/ways/test_routes.py::test_our_hop_overrides_the_next_path_key",
    ),
    shown(
        "MUST",
        "finds an introduction node that is named as the end of a channel (BOLT 1)",
        "node/ways/test_routes.py::test_introduction_node_by_channel",
        "conformance/shapes/test_paths.py::test_introduction_node_is_the_end_of_a_channel",
    ),
    shown(
        "MUST",
        "rejects a path that is cut short, has no hops, or an invalid point",
        "bolt12/test_blinded_path.py::test_cut_short_anywhere",
        "bolt12/test_blinded_path.py::test_no_hops",
        "bolt12/test_blinded_path.py::test_every_point_is_checked",
    ),
    shown(
        "MUST",
        "takes its own hop off a path that begins at our node, and follows what it says",
        "node/ways/test_routes.py::test_our_hop_names_the_next_node_by_its_id",
        "node/ways/test_routes.py::test_our_hop_names_the_next_node_by_a_channel",
    ),
    not_ours(
        "SHOULD",
        "reaches the first node of a payment path unblinded",
        "the payer's lightningd pays",
    ),
)

PAYMENT_PATHS = (
    shown("MUST", "has data for each node, itself included", f"{_PATHS}::test_a_path"),
    shown("MUST", "has payment_relay for the nodes before the last", f"{_PATHS}::test_a_path"),
    shown(
        "MUST",
        "names the next node by its id or by a channel, never both",
        f"{_PATHS}::test_a_path",
        "conformance/shapes/test_refunds.py::test_payment_paths_hop_by_hop",
    ),
    shown(
        "MUST",
        "has payment_constraints for the nodes before the last",
        f"{_PATHS}::test_cltv",
    ),
    shown(
        "MUST",
        "adds up max_cltv_expiry from the end: its own height, its final delta, each hop's delta",
        f"{_PATHS}::test_cltv",
    ),
    shown(
        "MUST",
        "sets htlc_minimum_msat to the largest minimum of the nodes",
        f"{_PATHS}::test_cltv",
        f"{_PATHS}::test_payinfo",
    ),
    not_ours("MUST", "leaves allowed_features empty if it sets them", "we set none"),
    shown(
        "MUST",
        "tells the payer the fees and the CLTV delta of the whole path",
        f"{_PATHS}::test_payinfo",
        f"{_PATHS}::test_cltv",
    ),
    not_ours(
        "MUST",
        "follows the rules for the writer and the reader of a payment's payload",
        "lightningd writes and reads these",
    ),
)

MESSAGES_WRITTEN = (
    shown(
        "MUST",
        "encrypts data for each node as for any blinded path",
        f"{_MESSAGE}::test_along_nodes",
        "sandbox/test_onion_layers.py::test_the_onion_message_of_bolt_4_is_unwrapped",
    ),
    shown(
        "MUST",
        "has no payment_relay and no payment_constraints in them",
        f"{_MESSAGE}::test_along_nodes",
        f"{_MESSAGE}::test_reply_path",
    ),
    shown(
        "MUST",
        "names the next node for each but the last",
        f"{_MESSAGE}::test_along_nodes",
    ),
    shown(
        "MUST",
        "builds the onion by Sphinx with version 0 and without associated data (createonion)",
        "node/test_messages.py::test_an_onion_of_our_own",
    ),
    shown(
        "SHOULD",
        "makes the packet 1366 or 32834 bytes long",
        f"{_MESSAGE}::test_packet_size",
        "node/test_messages.py::test_a_great_onion",
    ),
    shown(
        "SHOULD",
        "tries another path when no reply comes",
        "node/ways/test_routes.py::test_order_from_another_one",
        "node/ways/test_routes.py::test_avoid_nodes_where_possible",
        "answering/test_waiting.py::test_silence_draws_copies_at_growing_intervals",
    ),
    shown(
        "MUST",
        "gives nodes before the last nothing but encrypted_recipient_data",
        f"{_MESSAGE}::test_the_content_is_for_the_last_hop_alone",
    ),
    shown(
        "MUST",
        "has a reply_path to us, with its first key and first node, if a reply may come",
        f"{_MESSAGE}::test_reply_path",
        "answering/test_order.py::test_message_has_a_reply_path_only_if_a_reply_can_be_heard",
        "conformance/test_copies.py::test_each_copy_has_a_path_id_of_its_own",
    ),
    shown(
        "MAY",
        "recognizes a reply by a secret path_id",
        "answering/test_copies.py::test_no_two_copies_share_a_path_id",
    ),
    shown(
        "MUST",
        "has no reply_path if no reply may come",
        "answering/test_order.py::test_message_has_a_reply_path_only_if_a_reply_can_be_heard",
    ),
)

MESSAGES_READ = (
    not_ours(
        "MUST",
        "decrypts the message, and ignores one that it cannot decrypt or with unknown even fields",
        "lightningd does, before its hook tells our helper",
    ),
    shown(
        "MUST",
        "ignores what comes along a reply path and is no reply",
        f"{_PLUGIN}::test_messages_to_us_that_are_no_reply",
        "answering/test_copies.py::test_reply_to_an_unknown_copy_says_nothing",
    ),
    shown(
        "MUST",
        "does as if it had sent nothing when a reply comes without its path_id",
        f"{_PLUGIN}::test_what_is_not_ours_is_passed_on",
    ),
    shown(
        "MUST",
        "ignores a message with several payload fields",
        f"{_PLUGIN}::test_message_with_two_payload_fields_is_ignored",
    ),
)
