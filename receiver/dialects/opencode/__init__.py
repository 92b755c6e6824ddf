"""OpenCode: each telemetry plugin, the event relay, the AI SDK's spans and OpenCode's own export, a file each."""
