/**
 * Questions that a room asks before it acts or shows a button: compositions of power levels, no rules of their own.
 *
 * Spec: client-server-api/#mroompower_levels, rooms/v3 "Handling redactions". An event is judged by `event-auth`, not by
 * these; that the actor is joined is asked there or by the caller.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { serverNameOf } from '#protocol/identifiers/user-id.ts'
import type { PowerLevels } from './power-levels.ts'

export function canSendMessage(levels: PowerLevels, sender: string, type: string): boolean {
  return levels.userLevel(sender) >= levels.eventLevel(type, false)
}

export function canSendState(levels: PowerLevels, sender: string, type: string): boolean {
  return levels.userLevel(sender) >= levels.eventLevel(type, true)
}

export function canInvite(levels: PowerLevels, sender: string): boolean {
  return levels.userLevel(sender) >= levels.invite
}

export function canKick(levels: PowerLevels, sender: string, target: string): boolean {
  return levels.userLevel(sender) >= levels.kick && outranks(levels, sender, target)
}

export function canBan(levels: PowerLevels, sender: string, target: string): boolean {
  return levels.userLevel(sender) >= levels.ban && outranks(levels, sender, target)
}

/** "To unban somebody, you must have power level greater than or equal to both the kick and ban levels." */
export function canUnban(levels: PowerLevels, sender: string, target: string): boolean {
  return canKick(levels, sender, target) && levels.userLevel(sender) >= levels.ban
}

/** May trigger a notification such as `room`, for push rules' `sender_notification_permission`. */
export function canNotify(levels: PowerLevels, sender: string, key: string): boolean {
  return levels.userLevel(sender) >= levels.notificationLevel(key)
}

/**
 * Whether a redaction is to be carried out, from room version 3 on: the authorisation rules admit every redaction event,
 * and this decides what comes of it. The levels are those at the redaction.
 */
export function canRedact(levels: PowerLevels, redactionSender: UserId, originalSender: UserId): boolean {
  return (
    levels.userLevel(redactionSender) >= levels.redact || serverNameOf(redactionSender) === serverNameOf(originalSender)
  )
}

function outranks(levels: PowerLevels, sender: string, target: string): boolean {
  return levels.userLevel(target) < levels.userLevel(sender)
}
