/** Can we listen there? workerd tells of an occupied port in many lines, so we ask before it tries. */
import { createServer } from 'node:net'

import { StartError } from './start-error.ts'

/** Throws StartError if bind:port cannot be listened on. An occupied port is asked again for `patience` milliseconds. */
export async function refuseOccupiedPort(bind: string, port: number, patience: number): Promise<void> {
  const giveUp = Date.now() + patience
  for (;;) {
    const error = await tryPort(bind, port)
    if (!error) return
    if (error.code !== 'EADDRINUSE') throw new StartError(`cannot listen on ${bind}:${port}: ${error.message}`)
    if (Date.now() >= giveUp) throw new StartError(`port ${port} on ${bind} is in use by another program; give --port`)
    await new Promise((wake) => setTimeout(wake, 50))
  }
}

function tryPort(host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  const probe = createServer()
  return new Promise((tell) => {
    probe.once('error', tell)
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => tell(undefined)))
  })
}
