/** Saving and loading: the safetensors format. */
export {
  type HostState,
  load,
  loadFile,
  loadHost,
  save,
  type Saveable,
  saveFile,
  type SaveOptions,
} from "./safetensors.ts";
