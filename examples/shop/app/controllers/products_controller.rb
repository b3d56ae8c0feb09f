class ProductsController < ApplicationController
  def index
    @products = Product.in_shop_order
  end

  def show
    @product = Product.find_by!(slug: params[:slug])
    @order = @product.orders.new(quantity: 1)
  end
end
