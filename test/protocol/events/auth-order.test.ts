import { authOrder } from '#protocol/events/auth-order.ts'
import { type EventId, parseEventId } from '#protocol/identifiers/event-id.ts'
import { expect, it } from 'vitest'

const id = (name: string): EventId => {
  const parsed = parseEventId(`$${name}:x`)
  if (!parsed) throw new Error(name)
  return parsed
}
const event = (name: string, ...cited: string[]) => ({ event_id: id(name), auth_events: cited.map(id) })
const order = (events: ReturnType<typeof event>[], create?: string) =>
  authOrder(events, create === undefined ? undefined : id(create)).map(({ event_id }) => event_id.slice(1, -2))

it('puts auth events first, whatever order they come in, and each event once', () => {
  const events = [
    event('topic', 'join', 'levels'),
    event('levels', 'create', 'join'),
    event('join', 'create'),
    event('create'),
  ]
  expect(order([...events, event('join', 'create')])).toEqual(['create', 'join', 'levels', 'topic'])
  expect(order(events.toReversed())).toEqual(['create', 'join', 'levels', 'topic'])
})

it('puts the create event of version 12 before all, though nothing cites it', () => {
  expect(order([event('join'), event('create'), event('levels', 'join')], 'create')[0]).toBe('create')
  expect(order([event('create'), event('join'), event('levels', 'join')], 'create')[0]).toBe('create')
})

it('asks only for auth events that are among those given', () => {
  expect(order([event('topic', 'join', 'elsewhere'), event('join', 'elsewhere')])).toEqual(['join', 'topic'])
})

it('leaves out events that are their own ancestors, and what builds on them', () => {
  expect(order([event('a', 'b'), event('b', 'a'), event('c', 'a'), event('self', 'self'), event('good')])).toEqual([
    'good',
  ])
})

it('is linear in a long chain', () => {
  const chain = Array.from({ length: 50_000 }, (_, index) =>
    event(`e${index}`, ...(index === 0 ? [] : [`e${index - 1}`])),
  )
  expect(order(chain.toReversed()).slice(0, 3)).toEqual(['e0', 'e1', 'e2'])
})
