/** The least that a durable write can cost here: Worker → Durable Object → one committed row. */
import { DurableObject } from 'cloudflare:workers'

export class FloorDO extends DurableObject {
  constructor(context, env) {
    super(context, env)
    context.storage.sql.exec('CREATE TABLE IF NOT EXISTS events(nid INTEGER PRIMARY KEY, json TEXT NOT NULL)')
  }

  append(json) {
    this.ctx.storage.sql.exec('INSERT INTO events(json) VALUES (?)', json)
  }
}

export default {
  async fetch(request, env) {
    const room = new URL(request.url).pathname
    await env.FLOOR.get(env.FLOOR.idFromName(room)).append(await request.text())
    return Response.json({})
  },
}
