export async function* stateResolution() {}
