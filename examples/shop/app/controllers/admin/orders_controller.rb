# The shopkeeper's list. Exists only where ADMIN_PASSWORD is set.
class Admin::OrdersController < ApplicationController
  before_action :authenticate

  def index
    @counts = Order.group(:status).count
    @orders = Order.includes(:product).order(created_at: :desc).limit(100)
  end

  private

  def authenticate
    expected = ENV["ADMIN_PASSWORD"].presence
    return head(:not_found) unless expected

    authenticate_or_request_with_http_basic("Harbour & Co.") do |name, password|
      ActiveSupport::SecurityUtils.secure_compare(name, "admin") &
        ActiveSupport::SecurityUtils.secure_compare(password, expected)
    end
  end
end
