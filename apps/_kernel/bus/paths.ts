/** Where QStash delivers the events of a service. */
export const eventPath = (service: string): string => `/_events/${service}`;
/** Where QStash reports events that it could not deliver. */
export const failurePath = (service: string): string => `/_events/${service}/failed`;
/** Where QStash, by a schedule, has every service do what is due. */
export const sweepsPath = "/_sweeps";
