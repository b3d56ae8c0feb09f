module.exports = {content: ['./app/views/**/*.html.erb']}
