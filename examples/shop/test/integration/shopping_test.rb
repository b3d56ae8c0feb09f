require "test_helper"

class ShoppingTest < ActionDispatch::IntegrationTest
  test "a visitor finds a product, orders it, and sees the order confirmed" do
    product = a_product
    get root_path
    assert_select ".card h2", product.name

    post product_orders_path(product), params: { order: { customer_name: "Grace", email: "grace@example.com", quantity: 1 } }
    follow_redirect!
    assert_select "[data-order-status=received]"

    OrderConfirmationJob.drain
    get request.path
    assert_select ".confirmation strong", /KS-/
  end

  test "an order without a name and with a wrong e-mail comes back with both problems" do
    post product_orders_path(a_product), params: { order: { customer_name: "", email: "grace", quantity: 1 } }
    assert_response :unprocessable_entity
    assert_select ".problems li", 2
  end

  test "the shopkeeper's list is not there without a password in the environment" do
    get admin_orders_path
    assert_response :not_found
  end

  test "health needs neither database nor queue" do
    get "/up"
    assert_equal "up\n", response.body
  end

  test "a product that does not exist is lost at sea" do
    get "/products/nothing"
    assert_response :not_found
  end
end
