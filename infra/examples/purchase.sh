#!/bin/sh
# Buys something over REST with curl and jq: sh infra/examples/purchase.sh [http://localhost:8080]
set -eu
mall=${1:-http://localhost:8080}

# call METHOD PATH [curl's options]: prints the answer; what the mall refuses ends the script with its problem document
call() {
  method=$1 path=$2
  shift 2
  curl --silent --show-error --fail-with-body --max-time 30 --request "$method" "$mall$path" \
    --header "content-type: application/json" "$@"
}

variant=$(call GET "/v1/products?q=trail%20mug" | jq -er '[.products[].variants[] | select(.available > 0)][0].id')

# a guest's cart belongs to whoever knows its secret
made=$(call POST /v1/carts --data '{}')
cart=$(printf %s "$made" | jq -er .cart.id)
secret=$(printf %s "$made" | jq -er .cartSecret)
call POST "/v1/carts/$cart/items" --header "x-cart-secret: $secret" \
  --data "$(jq -n --arg variant "$variant" '{variantId: $variant, quantity: 2}')" >/dev/null

# buy KEY: as often as it is run with one key, there is one order, and the answer has the same bytes
buy() {
  call POST /v1/checkouts --header "x-cart-secret: $secret" --header "idempotency-key: $1" --data "$(
    jq -n --arg cart "$cart" '{
      cartId: $cart, email: "ada@example.com", shippingOption: "standard",
      shippingAddress: {name: "Ada", line1: "1 Way", city: "Austin", region: "TX", postalCode: "78701", country: "US"},
      payment: {method: "fake", token: "tok_ok"}
    }'
  )"
}
placed=$(buy "order-$cart")
[ "$(buy "order-$cart")" = "$placed" ]

# a guest's order belongs to whoever knows its secret
order=$(call GET "/v1/orders/$(printf %s "$placed" | jq -er .order.id)" \
  --header "x-order-secret: $(printf %s "$placed" | jq -er .orderSecret)")
printf %s "$order" | jq -er '.order | "\(.number) \(.state) \(.total.minor) \(.total.currency)"'
