# Charges the customer, then confirms the order. Sidekiq may run a job twice: both steps bear it.
class OrderConfirmationJob
  include Sidekiq::Worker
  sidekiq_options queue: "orders", retry: 5

  def perform(order_id)
    order = Order.find(order_id)
    return unless order.received?

    PaymentGateway.charge(reference: order.token, cents: order.total_cents)
    order.confirm!
    logger.info("order #{order.id} #{order.status} #{order.confirmation_number}")
  end
end
