class OrdersController < ApplicationController
  def create
    @product = Product.find_by!(slug: params[:product_slug])
    @order = @product.orders.new(order_params)
    if @order.save
      redirect_to order_path(@order)
    else
      render "products/show", status: :unprocessable_entity
    end
  end

  def show
    @order = Order.includes(:product).find_by!(token: params[:token])
    respond_to do |format|
      format.html
      format.json { render json: @order.slice(:status, :confirmation_number, :confirmed_at) }
    end
  end

  private

  def order_params
    params.require(:order).permit(:customer_name, :email, :quantity)
  end
end
