// A bot as people wrote them with the older client for Node: it answers every message with a
// quote and an attachment. What it has done, it says on standard output, and which tokens it
// has in hand.
//
//     node quotes.cjs config.json

const Symphony = require('symphony-api-client-node')
const SymBotAuth = require('symphony-api-client-node/lib/SymBotAuth')

async function quote (message) {
  const text = message.messageText.trim()
  console.log('received', text)
  await Symphony.sendMessageWithAttachment(
    message.stream.streamId, `quote for ${text}`, null,
    `${text}.csv`, 'text/csv', `price of ${text}: 42\n`, Symphony.MESSAGEML_FORMAT
  )
  console.log('holds', SymBotAuth.sessionAuthToken, SymBotAuth.kmAuthToken)
  console.log('answered', text)
}

async function main (config) {
  await Symphony.initBot(config)
  Symphony.getDatafeedEventsService({
    onMessage: messages => messages.forEach(quote),
    onError: error => console.log('the datafeed has ended', error)
  })
}

main(...process.argv.slice(2))
