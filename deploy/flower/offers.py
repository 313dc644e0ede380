"""How a plan is offered in a Flower message, where no stream carries it."""

OFFER_QUERY = "query.offer"
OFFER = "offer"  # ConfigRecord with DOCUMENT, answered by one with the last three
DOCUMENT = "document"  # bytes, the signed plan
MEMBER = "member"  # str, who answers
REFUSAL = "refusal"  # str, a code, or empty
BAND = "band"  # int, the declared cohort where sums are in clear
