/**
 * How much of a room a client wants: of its timeline, and of its state.
 *
 * Spec: MSC4186 "required_state", "timeline_limit". The state key `$ME` stands for the reader, `*` for any; for members
 * `$LAZY` stands for those who matter to the events shown. What more than one list or subscription asks for is added up.
 */
export type RequiredState = readonly (readonly [type: string, stateKey: string])[]

export interface RoomConfig {
  readonly timelineLimit: number
  /** Sorted, and without repetitions: equal wishes have equal JSON. */
  readonly requiredState: RequiredState
  /** Of what a client was given: that this is a direct room. */
  readonly isDirect?: true
}

/** Brings a wish into its one form. */
export function roomConfig(timelineLimit: number, requiredState: RequiredState): RoomConfig {
  const byText = new Map(requiredState.map((place) => [JSON.stringify(place), place] as const))
  const sorted = [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, place]) => place)
  return { timelineLimit, requiredState: sorted }
}

/** All that either asks for. */
export function combineConfigs(a: RoomConfig, b: RoomConfig): RoomConfig {
  if (a === b) return a
  return roomConfig(Math.max(a.timelineLimit, b.timelineLimit), [...a.requiredState, ...b.requiredState])
}

/** Whether `wanted` asks for anything that `sent` did not. */
export function isWider(wanted: RoomConfig, sent: RoomConfig): boolean {
  return wanted.timelineLimit > sent.timelineLimit || addedState(wanted, sent).length > 0
}

/** The places that `wanted` asks for and `sent` did not. */
export function addedState(wanted: RoomConfig, sent: RoomConfig): RequiredState {
  const had = new Set(sent.requiredState.map((place) => JSON.stringify(place)))
  return wanted.requiredState.filter((place) => !had.has(JSON.stringify(place)))
}

/** Whether members are wanted as far as they matter only. */
export function isLazy({ requiredState }: RoomConfig): boolean {
  return requiredState.some(([type, stateKey]) => type === 'm.room.member' && stateKey === '$LAZY')
}

/** Whether a place of the state is asked for, lazily wanted members aside. */
export function wantsPlace(wanted: RequiredState, type: string, stateKey: string, me: string): boolean {
  const isMember = type === 'm.room.member'
  // Where members are wanted lazily, only who names them gets more of them: "*" of all types does not.
  const lazy = isMember && wanted.some(([its, key]) => its === type && key === '$LAZY')
  return wanted.some(([itsType, itsKey]) => {
    if (itsType !== type && (itsType !== '*' || lazy)) return false
    return itsKey === '*' || itsKey === stateKey || (itsKey === '$ME' && stateKey === me)
  })
}
