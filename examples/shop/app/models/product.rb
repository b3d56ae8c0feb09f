class Product < ApplicationRecord
  has_many :orders, dependent: :restrict_with_error

  validates :slug, :name, :tagline, :description, presence: true
  validates :price_cents, numericality: { only_integer: true, greater_than: 0 }
  validates :stock, numericality: { only_integer: true, greater_than_or_equal_to: 0 }

  scope :in_shop_order, -> { order(:position, :id) }

  def to_param
    slug
  end

  def sold_out?
    stock.zero?
  end
end
