// undici by itself: its ProxyAgent, told in the program, with the password as a header.

const { ProxyAgent, request } = require('undici')
const { version } = require('undici/package.json')

async function main (pod, agent) {
  const proxy = new URL(process.env.HTTPS_PROXY)
  const password = decodeURIComponent(`${proxy.username}:${proxy.password}`)
  const dispatcher = new ProxyAgent({
    uri: proxy.origin,
    token: proxy.username ? `Basic ${Buffer.from(password).toString('base64')}` : undefined
  })
  const { body } = await request(`${pod}/pod/v2/sessioninfo`, { dispatcher })
  const info = await body.json()
  const answer = await request(`${agent}/agent/v1/util/echo`, {
    dispatcher,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ message: 'hello' })
  })
  console.log(JSON.stringify({ version, info, echo: await answer.body.json() }))
  await dispatcher.close()
}

main(...process.argv.slice(2))
