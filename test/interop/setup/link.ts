/**
 * The wire between two servers: a TCP port that stands before a server's TLS port and can be cut. A server's name has this
 * port, so that nobody comes to it in another way.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface Link {
  /** Breaks what is open, and every new connection at once, until it is healed. */
  cut(): void
  heal(): void
  close(): void
}

export async function openLink(port: number, target: number): Promise<Link> {
  const open = new Set<Socket>()
  let whole = true
  const server = createServer((near) => {
    if (!whole) {
      near.destroy()
      return
    }
    const far = connect(target, '127.0.0.1')
    near.pipe(far).pipe(near)
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(socket)
      // What it was is told by the other end's own error.
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        open.delete(socket)
        other.destroy()
      })
    }
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  server.unref()
  const breakAll = () => {
    for (const socket of open) socket.destroy()
  }
  return {
    cut: () => {
      whole = false
      breakAll()
    },
    heal: () => {
      whole = true
    },
    close: () => {
      server.close()
      breakAll()
    },
  }
}
