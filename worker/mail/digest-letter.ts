/**
 * The letter about unread messages: what is new in which room, where encryption lets this server read it.
 *
 * Names and texts come from other people: they are escaped, cut short, and never stand in a header with a line break in it.
 */
import { type JsonObject, own } from '#protocol/json/json.ts'

import type { LetterEvent, LetterRoom } from '../../durable-objects/user-sync/mail-digest.ts'
import { escapeHtml } from '../pages/page.ts'
import type { LetterBody } from './letters.ts'

export interface DigestLetter {
  readonly serverName: string
  readonly userId: string
  readonly rooms: readonly LetterRoom[]
  /** Where the letters are ended. */
  readonly unsubscribe: string
}

const [mostRooms, mostEvents] = [20, 5]
const [longestName, longestText] = [60, 300]

interface Part {
  readonly title: string
  readonly link: string
  readonly lines: readonly string[]
}

export function digestLetter({ serverName, userId, rooms, unsubscribe }: DigestLetter): LetterBody {
  const count = rooms.reduce((sum, { events }) => sum + events.length, 0)
  const parts = rooms.slice(0, mostRooms).map(partOf)
  const [first] = parts
  const where = parts.length === 1 && rooms.length === 1 && first ? first.title : `${rooms.length} rooms`
  const subject = `${count} unread ${count === 1 ? 'message' : 'messages'}: ${where}`
  const more = rooms.length > mostRooms ? [`And ${rooms.length - mostRooms} more rooms.`] : []
  const why = `This is for ${userId} on ${serverName}, where letters about unread messages were asked for. No more of them:`
  const text = [...parts.map(({ title, link, lines }) => [title, link, ...lines].join('\n')), ...more, why, unsubscribe]
  const html = [
    ...parts.map(
      ({ title, link, lines }) =>
        `<h2 style="font-size:18px;margin:1em 0 .2em"><a href="${escapeHtml(link)}">${escapeHtml(title)}</a></h2>` +
        lines.map((line) => `<p style="margin:.2em 0">${escapeHtml(line)}</p>`).join(''),
    ),
    ...more.map((line) => `<p>${escapeHtml(line)}</p>`),
    `<p style="font-size:13px;margin-top:2em">${escapeHtml(why)}<br>` +
      `<a href="${escapeHtml(unsubscribe)}">${escapeHtml(unsubscribe)}</a></p>`,
  ]
  return {
    subject,
    text: `${text.join('\n\n')}\n`,
    html:
      '<!doctype html><html lang="en"><body style="font:16px/1.5 sans-serif;max-width:36em;margin:1em">' +
      `${html.join('')}</body></html>`,
    unsubscribe,
  }
}

function partOf({ roomId, events }: LetterRoom): Part {
  const shown = events.slice(-mostEvents)
  const newest = events.at(-1)
  const title = newest?.room_name ?? `Conversation with ${newest ? nameOf(newest) : 'somebody'}`
  const hidden = events.length - shown.length
  return {
    title: short(title, longestName),
    // Spec: appendices/#matrixto-navigation: every client opens these.
    link: `https://matrix.to/#/${encodeURIComponent(roomId)}`,
    lines: [
      ...(hidden > 0 ? [`${hidden} earlier ${hidden === 1 ? 'message' : 'messages'}`] : []),
      ...shown.map(lineOf),
    ],
  }
}

function lineOf(event: LetterEvent): string {
  const at = new Date(event.at).toISOString().slice(0, 16).replace('T', ' ')
  return `${at} UTC, ${nameOf(event)} ${deedOf(event)}`
}

function deedOf({ type, content, user_is_target }: LetterEvent): string {
  if (type === 'm.room.encrypted') return 'sent an encrypted message'
  if (type === 'm.room.member' && user_is_target && own(content, 'membership') === 'invite') return 'invites you'
  const body = textIn(content, 'body')
  switch (type === 'm.room.message' ? own(content, 'msgtype') : undefined) {
    case 'm.image':
      return 'sent a picture'
    case 'm.video':
      return 'sent a video'
    case 'm.audio':
      return 'sent a sound'
    case 'm.file':
      return `sent a file: ${short(body, longestName)}`
    case 'm.emote':
      return short(body, longestText)
    default:
      return type === 'm.room.message' && body !== '' ? `wrote: ${short(body, longestText)}` : 'sent something'
  }
}

function nameOf({ sender, sender_display_name }: LetterEvent): string {
  const name = short(sender_display_name ?? '', longestName)
  return name === '' ? sender : name
}

function textIn(content: JsonObject, field: string): string {
  const value = own(content, field)
  return typeof value === 'string' ? value : ''
}

/** One line: of control characters, line breaks among them, nothing is left. */
function short(text: string, most: number): string {
  const line = text.slice(0, 4 * most).replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
  const characters = Array.from(line.trim())
  return characters.length > most ? `${characters.slice(0, most - 1).join('')}…` : characters.join('')
}
