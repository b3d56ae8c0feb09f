//= require order_status
