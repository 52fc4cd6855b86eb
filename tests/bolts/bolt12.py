"""BOLT 12, "Negotiation Protocol for Lightning Payments"."""

from __future__ import annotations

from .rule import broken, not_ours, shown

_REQUEST = "bolt12/test_invoice_request.py"
_INVOICE = "bolt12/test_invoice.py"
_STRING = "bolt12/test_string.py"
_ERROR = "bolt12/test_invoice_error.py"

STRINGS_READ = (
    shown(
        "MUST",
        "takes a string that is all lower case or all upper case",
        f"{_STRING}::test_round_trip",
        f"{_STRING}::test_vectors_of_accepted_strings",
    ),
    shown(
        "MUST",
        "drops a + between two characters, and the white space after it",
        f"{_STRING}::test_continuations_anywhere",
        f"{_STRING}::test_vectors_of_accepted_strings",
    ),
    shown(
        "MUST",
        "refuses both cases in one string (of its writer: one case only)",
        f"{_STRING}::test_vectors_of_refused_strings",
        f"{_STRING}::test_what_is_refused_is_named_with_its_place",
    ),
)

REQUESTS_READ = (
    shown("MUST", "rejects it without invreq_payer_id", f"{_REQUEST}::test_unanswerable"),
    shown("MUST", "rejects it without invreq_metadata", f"{_REQUEST}::test_unanswerable"),
    shown(
        "MUST",
        "rejects fields outside of 0 to 159 and 1000000000 to 2999999999, signatures excepted",
        f"{_REQUEST}::test_unanswerable",
    ),
    shown(
        "MUST",
        "rejects unknown even fields, and keeps unknown odd ones (BOLT 1)",
        f"{_REQUEST}::test_unanswerable",
        f"{_REQUEST}::test_unknown_odd_fields_are_kept_and_signed",
    ),
    shown("MUST", "ignores odd invreq_features", f"{_REQUEST}::test_odd_features_are_ignored"),
    shown(
        "MUST",
        "rejects unknown even invreq_features",
        f"{_REQUEST}::test_unanswerable",
        "conformance/shapes/test_refunds.py::test_refused_before_a_node_is_asked",
    ),
    shown(
        "MUST",
        "rejects a signature that is not that of invreq_payer_id",
        f"{_REQUEST}::test_signature_of_somebody_else",
        f"{_REQUEST}::test_signature_of_another_message",
        f"{_REQUEST}::test_signature_covers_every_field",
        "conformance/test_failures.py::test_changed_request_is_refused",
    ),
    broken(
        "MUST",
        "rejects a request without a signature",
        "its writer must not sign it, and LDK does not",
        f"{_REQUEST}::test_an_unsigned_refund_with_an_empty_description",
        "conformance/shapes/test_ldk.py::test_refund_in_this_shape_is_answered_and_paid",
    ),
    shown(
        "MUST", "rejects a path without hops in invreq_paths", f"{_REQUEST}::test_malformed_fields"
    ),
    broken(
        "MUST",
        "does not reply with a previous invoice",
        "onion messages get lost, and two invoices could both be paid",
        "conformance/test_resume.py::test_unpaid_invoice_is_sent_again_and_waited_for",
    ),
    not_ours(
        "MUST",
        "follows the rules for requests that answer an offer",
        "lightningd answers these by itself; we refuse them (the next row)",
    ),
    shown(
        "MUST",
        "leaves a request that answers an offer to the offer's node",
        f"{_REQUEST}::test_unanswerable",
        f"{_REQUEST}::test_a_request_of_the_bolts_answers_an_offer",
    ),
    shown("MUST", "rejects offer_chains and offer_features", f"{_REQUEST}::test_unanswerable"),
    broken(
        "MUST",
        "rejects offer_quantity_max",
        "QUANTITY says how many",
        "conformance/shapes/test_refunds.py::test_quantity_that_fits",
    ),
    broken(
        "MUST",
        "rejects a request without invreq_amount",
        "offer_amount or AMOUNT_MSAT says how much; without either it is rejected",
        f"{_REQUEST}::test_an_amount_of_the_offer_is_enough",
        f"{_REQUEST}::test_unanswerable",
    ),
    shown(
        "MAY",
        "shows offer_amount and offer_currency to the user",
        "test_request.py::test_nothing_to_ask_for",
    ),
    shown(
        "MUST",
        "sends to invreq_paths, where there are some",
        "node/ways/test_routes.py::test_with_paths_the_payer_id_is_no_target",
        "conformance/shapes/test_paths.py::test_first_path_is_dead",
    ),
    shown(
        "MUST",
        "sends to invreq_payer_id otherwise",
        "node/ways/test_routes.py::test_without_paths_the_payer_is_the_target",
    ),
    shown(
        "MUST",
        "rejects a chain that is not its own, bitcoin if none is named",
        "node/test_info.py::test_another_chain",
        "node/test_info.py::test_no_chain_is_bitcoin",
        "conformance/shapes/test_refunds.py::test_another_network",
    ),
    shown(
        "MUST",
        "rejects other characters in invreq_bip_353_name than those of names",
        "bolt12/test_fields.py::test_malformed_bip_353_names",
        f"{_REQUEST}::test_malformed_fields",
    ),
    shown(
        "MUST",
        "does not answer after offer_absolute_expiry (a rule for offers)",
        f"{_REQUEST}::test_expired",
        "conformance/test_failures.py::test_expired_request",
    ),
)

INVOICES_WRITTEN = (
    shown("MUST", "sets invoice_created_at to now", f"{_INVOICE}::test_own_fields"),
    shown(
        "MUST",
        "copies every field of the request but signatures, unknown ones included",
        f"{_INVOICE}::test_every_field_of_the_request_is_copied",
        f"{_REQUEST}::test_unknown_odd_signatures_are_not_copied",
        "conformance/shapes/test_refunds.py::test_full_refund",
    ),
    shown(
        "MUST",
        "sets invoice_amount to invreq_amount; another only if the user asks for it",
        "test_request.py::test_amount_to_ask",
        "conformance/shapes/test_refunds.py::test_full_refund",
    ),
    shown(
        "MUST",
        "sets invoice_amount to the expected amount otherwise, times the quantity",
        "test_request.py::test_amount_to_ask",
    ),
    shown(
        "MUST",
        "sets invoice_payment_hash to the SHA256 of the preimage",
        f"{_INVOICE}::test_own_fields",
        "conformance/test_paid.py::test_is_paid",
    ),
    not_ours(
        "MUST",
        "sets invoice_node_id as the offer has it",
        "there is no offer: it is the id of our node",
    ),
    shown(
        "MUST",
        "signs with invoice_node_id, once",
        f"{_INVOICE}::test_bad_signatures",
        f"{_INVOICE}::test_another_node_with_its_own_signature",
        "conformance/shapes/test_refunds.py::test_full_refund",
    ),
    shown("MUST", "sets MPP/optional if it takes parts", f"{_INVOICE}::test_own_fields"),
    not_ours("MUST", "sets MPP/compulsory if it needs parts", "we never need them"),
    shown(
        "MUST",
        "sets invoice_relative_expiry unless it is 7200",
        f"{_INVOICE}::test_relative_expiry",
    ),
    not_ours("MAY", "names on-chain addresses", "we take none"),
    shown(
        "MUST",
        "has at least one path to the node",
        f"{_INVOICE}::test_payment_paths",
        f"{_INVOICE}::test_fields_added_wrongly",
    ),
    shown(
        "MUST",
        "has its favourite path first",
        "node/ways/test_payment_paths.py::"
        "test_beside_public_channels_the_path_of_our_node_goes_first",
        "conformance/shapes/test_private_receivers.py::test_one_that_carries_all_goes_first",
    ),
    shown(
        "MUST",
        "has one blinded_payinfo for each path, in their order",
        f"{_INVOICE}::test_payment_paths",
        f"{_INVOICE}::test_fields_added_wrongly",
    ),
    shown(
        "MUST",
        "sets a payinfo's features to the path's allowed_features, which are none",
        "node/ways/test_payment_paths.py::test_payinfo",
    ),
    not_ours("SHOULD", "ignores payments by other ways", "lightningd takes the payment"),
)

ERRORS_READ = (
    shown(
        "MUST",
        "reads erroneous_field, suggested_value and error (the BOLT leaves its reader open)",
        f"{_ERROR}::test_wire_form",
        f"{_ERROR}::test_round_trip",
        f"{_ERROR}::test_unknown_odd_fields_are_ignored",
        "bolt12/test_verdict.py::test_an_erroneous_field_is_about_the_invoice",
    ),
)
