// Follows an order that is being prepared; shows the page anew as soon as its status changes.
(function () {
  "use strict";

  var INTERVAL_MS = 1000;
  var GIVE_UP_MS = 120000;

  function follow(url, status, until) {
    fetch(url, { headers: { Accept: "application/json" } })
      .then(function (response) { return response.ok ? response.json() : { status: status }; })
      .catch(function () { return { status: status }; })
      .then(function (order) {
        if (order.status !== status) { window.location.reload(); return; }
        if (Date.now() < until) { setTimeout(follow, INTERVAL_MS, url, status, until); }
      });
  }

  document.addEventListener("DOMContentLoaded", function () {
    var order = document.querySelector("[data-order-status='received']");
    if (order) { setTimeout(follow, INTERVAL_MS / 2, order.dataset.orderUrl, "received", Date.now() + GIVE_UP_MS); }
  });
})();
