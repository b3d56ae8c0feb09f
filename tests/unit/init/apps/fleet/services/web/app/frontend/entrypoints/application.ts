import '~/app'
