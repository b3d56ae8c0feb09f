ENV["RAILS_ENV"] = "test"
require_relative "../config/environment"
require "rails/test_help"
require "sidekiq/testing"

class ActiveSupport::TestCase
  setup { Sidekiq::Worker.clear_all }

  def a_product(**with)
    Product.create!({ slug: "mug", name: "Mug", tagline: "Enamel", description: "White.", price_cents: 1200, stock: 5 }.merge(with))
  end

  def an_order(product: a_product, **with)
    Order.create!({ product: product, customer_name: "Grace", email: "grace@example.com", quantity: 2 }.merge(with))
  end
end
