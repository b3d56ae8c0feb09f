every 1.day do
  rake 'ledger:close'
end
