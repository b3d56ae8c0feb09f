module ApplicationHelper
  def price(cents)
    number_to_currency(cents / 100.0)
  end

  def revision
    Rails.configuration.x.revision
  end

  def picture(product)
    name = "pictures/#{product.slug.tr('-', '_')}"
    render(lookup_context.exists?(name, [], true) ? name : "pictures/parcel")
  end

  def status_badge(order)
    tag.span(order.status, class: "badge badge-#{order.status}", data: { status: order.status })
  end
end
