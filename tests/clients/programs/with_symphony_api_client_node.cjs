// The older client for Node: proxies are in its configuration, and it logs in first.
//
//     node with_symphony_api_client_node.cjs config.json ROOM

const Symphony = require('symphony-api-client-node')
const { version } = require('symphony-api-client-node/package.json')

async function main (config, room) {
  await Symphony.initBot(config)
  const { username } = Symphony.getBotUser()
  const sent = await Symphony.sendMessage(room, 'hello', null, Symphony.MESSAGEML_FORMAT)
  const seen = { info: { username }, echo: { message: sent.message } }
  console.log(JSON.stringify({ version, ...seen }))
}

main(...process.argv.slice(2))
