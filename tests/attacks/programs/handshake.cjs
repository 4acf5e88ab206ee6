// For each argument PORT=HOST: whether Node takes the server at this port for HOST.
const net = require('node:net')
const tls = require('node:tls')

const check = (argument) => new Promise((resolve) => {
  const [port, host] = argument.split(/=(.*)/)
  const socket = tls.connect({
    host: '127.0.0.1',
    port: Number(port),
    servername: net.isIP(host) ? '' : host,
    checkServerIdentity: (_, certificate) => tls.checkServerIdentity(host, certificate),
  })
  socket.on('secureConnect', () => { socket.destroy(); resolve('accepted') })
  socket.on('error', (error) => resolve(error.message))
})

;(async () => {
  for (const argument of process.argv.slice(2)) console.log(await check(argument))
})()
