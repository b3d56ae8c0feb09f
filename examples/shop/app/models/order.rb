# An order is `received` from the form; OrderConfirmationJob makes it `confirmed`, or `declined` when the stock is gone.
class Order < ApplicationRecord
  STATUSES = %w[received confirmed declined].freeze
  MOST_PER_ORDER = 20

  belongs_to :product
  has_secure_token

  validates :customer_name, presence: true, length: { maximum: 100 }
  validates :email, presence: true, length: { maximum: 200 },
                    format: { with: URI::MailTo::EMAIL_REGEXP, message: "does not look like an e-mail address", allow_blank: true }
  validates :quantity, numericality: { only_integer: true,
                                       greater_than: 0, less_than_or_equal_to: MOST_PER_ORDER }
  validates :status, inclusion: { in: STATUSES }

  before_validation :set_total, on: :create
  after_create_commit { OrderConfirmationJob.perform_async(id) }

  STATUSES.each do |name|
    define_method("#{name}?") { status == name }
    scope name, -> { where(status: name) }
  end

  def to_param
    token
  end

  # Takes the goods from the stock and gives the order its number. Doing it twice changes nothing.
  def confirm!
    with_lock do
      next unless received?

      product.lock!
      next update!(status: "declined") if product.stock < quantity

      product.update!(stock: product.stock - quantity)
      update!(status: "confirmed", confirmation_number: format("KS-%<id>06d", id: id), confirmed_at: Time.current)
    end
  end

  private

  def set_total
    self.total_cents = product ? product.price_cents * quantity.to_i : 0
  end
end
