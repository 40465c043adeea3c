/**
 * The wire to one server: it stands where the server's name leads, ends TLS there and reads from each request's signature
 * who sends it. So the way from each server to each other one can be cut for itself, with nothing changed in the servers.
 */
import { once } from 'node:events'
import { Agent, type IncomingMessage, request as plainRequest, type ServerResponse } from 'node:http'
import { createServer } from 'node:https'

/** `deaf`: requests arrive, answers are lost. */
export type Way = 'open' | 'cut' | 'deaf'

export interface Gate {
  /** The way on which requests of that server come. What is under way on one that is no longer open breaks off. */
  set(origin: string, way: Way): void
  close(): void
}

/** Listens on a port and passes requests on to the plain port of the server. */
export async function openGate(
  port: number,
  target: number,
  certificate: { readonly cert: string; readonly key: string },
): Promise<Gate> {
  const ways = new Map<string, Way>()
  const underWay = new Map<IncomingMessage, string>()
  const agent = new Agent({ keepAlive: true })

  const pass = (request: IncomingMessage, response: ServerResponse) => {
    const origin = originOf(request)
    const way = ways.get(origin) ?? 'open'
    if (way === 'cut') return void request.socket.destroy()
    underWay.set(request, origin)
    response.on('close', () => underWay.delete(request))
    const { method, url: path, headers } = request
    const onward = plainRequest({ agent, host: '127.0.0.1', port: target, method, path, headers }, (answer) => {
      if (ways.get(origin) === 'deaf') return void request.socket.destroy()
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
      answer.on('error', () => request.socket.destroy())
    })
    onward.on('error', () => request.socket.destroy())
    request.on('error', () => onward.destroy())
    request.pipe(onward)
  }
  const server = createServer(certificate, pass)
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    set(origin, way) {
      ways.set(origin, way)
      if (way !== 'cut') return
      for (const [request, from] of underWay) if (from === origin) request.socket.destroy()
    },
    close() {
      server.close()
      server.closeAllConnections()
      agent.destroy()
    },
  }
}

/** Every request of a server says who it is: `X-Matrix origin="…",…`. */
function originOf({ headers }: IncomingMessage): string {
  return /origin="([^"]*)"/.exec(headers.authorization ?? '')?.[1] ?? ''
}
