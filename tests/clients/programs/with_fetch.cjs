// Node's own fetch, through the proxy that HTTPS_PROXY names: undici's agent makes it look.

const { EnvHttpProxyAgent, setGlobalDispatcher } = require('undici')

setGlobalDispatcher(new EnvHttpProxyAgent())

async function main (pod, agent) {
  const info = await (await fetch(`${pod}/pod/v2/sessioninfo`)).json()
  const answer = await fetch(`${agent}/agent/v1/util/echo`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ message: 'hello' })
  })
  const echo = await answer.json()
  console.log(JSON.stringify({ version: process.versions.node, info, echo }))
}

main(...process.argv.slice(2))
