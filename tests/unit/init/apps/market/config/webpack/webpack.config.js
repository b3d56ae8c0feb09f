module.exports = require('shakapacker').webpackConfig
