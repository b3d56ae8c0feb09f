# The shopkeeper's list. Exists only where config/secrets.yml has an admin_password.
class Admin::OrdersController < ApplicationController
  before_action :authenticate

  def index
    @counts = Order.group(:status).count
    @orders = Order.includes(:product).order(created_at: :desc).limit(100)
  end

  private

  def authenticate
    expected = Rails.application.secrets.admin_password.presence
    return head(:not_found) unless expected

    authenticate_or_request_with_http_basic("Harbour & Co.") do |name, password|
      ActiveSupport::SecurityUtils.secure_compare(name, "admin") &
        ActiveSupport::SecurityUtils.secure_compare(password, expected)
    end
  end
end
