import { setFlagsFromString } from "node:v8";

/**
 * Lets the heap become four times of what is in use before all of it is gone through, which V8 does by itself where it may have more memory. A request
 * for 50 SVIDs passes half a megabyte of buffers through, and V8 counts them until it next looks: without this it goes through everything twice a
 * second, at an eighth of the issuer's time on one core. V8 holds to its limit (`--max-old-space-size`) as before.
 */
export function letHeapGrow(): void {
  setFlagsFromString("--heap-growing-percent=300");
}
