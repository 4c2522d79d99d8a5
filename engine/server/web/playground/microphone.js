// The microphone, or the reason why there is none in words a person can act on.

const REASONS = {
  NotAllowedError: "The browser may not use the microphone. Allow it in the address bar, then choose Try again.",
  SecurityError: "The browser may not use the microphone. Allow it in the address bar, then choose Try again.",
  NotFoundError: "There is no microphone. Connect one, then choose Try again.",
  OverconstrainedError: "The chosen microphone is gone. Choose another one.",
  NotReadableError: "The microphone is taken by another program. Close that, then choose Try again.",
};

export class MicrophoneError extends Error {}

/** A stream of one track. Throws MicrophoneError. */
export async function openMicrophone({ deviceId = "", cancelEcho = true } = {}) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new MicrophoneError(
      "Browsers give a microphone to https pages and to this machine only (localhost, 127.0.0.1).",
    );
  }
  const audio = {
    channelCount: 1,
    echoCancellation: cancelEcho,
    noiseSuppression: cancelEcho,
    autoGainControl: cancelEcho,
    ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
  };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new MicrophoneError(REASONS[error.name] ?? `The microphone cannot be opened: ${error.message}`);
  }
}

/** `{ id, name }` of each microphone; names are empty until one was opened. */
export async function microphones() {
  const found = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return found
    .filter((device) => device.kind === "audioinput" && device.deviceId)
    .map((device) => ({ id: device.deviceId, name: device.label || "Microphone" }));
}
