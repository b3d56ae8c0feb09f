require "test_helper"

class OrderTest < ActiveSupport::TestCase
  test "a new order is received, priced, and waits for the worker" do
    order = an_order
    assert order.received?
    assert_equal 2400, order.total_cents
    assert_equal [[order.id]], OrderConfirmationJob.jobs.map { |job| job["args"] }
  end

  test "the job confirms the order and takes the goods from the stock" do
    order = an_order
    OrderConfirmationJob.drain
    order.reload
    assert order.confirmed?
    assert_match(/\AKS-\d{6}\z/, order.confirmation_number)
    assert_equal 3, order.product.stock
  end

  test "a job that runs twice takes the goods once" do
    order = an_order
    2.times { OrderConfirmationJob.new.perform(order.id) }
    assert_equal 3, order.product.reload.stock
  end

  test "an order above the stock is declined and takes nothing" do
    order = an_order(product: a_product(stock: 1))
    OrderConfirmationJob.drain
    assert order.reload.declined?
    assert_equal 1, order.product.stock
  end

  test "quantity stays between one and the most" do
    [0, 21, 1.5, nil].each { |quantity| assert_not Order.new(quantity: quantity).tap(&:validate).errors[:quantity].empty? }
  end
end
