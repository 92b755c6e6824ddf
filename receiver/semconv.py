"""Every attribute name that the program writes, with its source. A dialect has the names that it reads.

The GenAI and MCP conventions have Development status (open-telemetry/semantic-conventions-genai, schema URL below).
`opencode.*` is this program's own namespace, for names that no convention has. core/emission/openinference.py derives
OpenInference's names from these.
"""

from __future__ import annotations

SCOPE_NAME = "opencode-trace-receiver"
SCHEMA_URL = "https://opentelemetry.io/schemas/gen-ai/1.42.0"

# general/session.md (Development), recording-errors.md (Stable), peer.service (attributes registry)
SESSION_ID = "session.id"
ERROR_TYPE = "error.type"
PEER_SERVICE = "peer.service"

# gen-ai/gen-ai-agent-spans.md, gen-ai-spans.md
OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
CONVERSATION_ID = "gen_ai.conversation.id"
AGENT_ID = "gen_ai.agent.id"
AGENT_NAME = "gen_ai.agent.name"
TOOL_NAME = "gen_ai.tool.name"
TOOL_TYPE = "gen_ai.tool.type"
TOOL_CALL_ID = "gen_ai.tool.call.id"
TOOL_DESCRIPTION = "gen_ai.tool.description"
TOOL_CALL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_CALL_RESULT = "gen_ai.tool.call.result"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_CREATION_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
# open proposals: pull requests 447 (transfer) and 498 (skills) of semantic-conventions-genai
TRANSFER_TARGET = "gen_ai.transfer.target.name"
TRANSFER_MODE = "gen_ai.transfer.mode"
SKILL_NAME = "gen_ai.skill.name"
SKILL_SOURCE = "gen_ai.skill.source.uri"

# gen-ai/mcp.md; the server's name is an open proposal (pull request 437), and others send it already
MCP_METHOD = "mcp.method.name"
MCP_SERVER = "mcp.server.name"

# the program's own
ROOT_SESSION_ID = "opencode.root_session.id"
SESSION_TITLE = "opencode.session.title"
SESSION_PARENT_ID = "opencode.session.parent_id"
SESSION_SEGMENT = "opencode.session.segment"
VERSION = "opencode.version"
PROJECT_ID = "opencode.project.id"
DIRECTORY = "opencode.directory"
COST = "opencode.cost.usd"
LINES_ADDED = "opencode.lines.added"
LINES_REMOVED = "opencode.lines.removed"
END_REASON = "opencode.end_reason"
CHILD_SESSION_ID = "opencode.task.child_session.id"
CHILD_AGENT_ID = "opencode.task.child_agent.id"
TASK_TOOL_COUNT = "opencode.task.tool_count"
TASK_BACKGROUND = "opencode.task.background"
OPENCODE_TOOL_NAME = "opencode.tool.name"
FILE_PATH = "opencode.file.path"
PERMISSION_NAME = "opencode.permission.name"
PERMISSION_REPLY = "opencode.permission.reply"
INFERRED = "opencode.inferred"
LATE = "opencode.late"
MARKER = "opencode.marker"
LINK_TYPE = "opencode.link.type"
LINKED_SESSION = "opencode.link.session.id"

# values
INVOKE_AGENT, EXECUTE_TOOL, CHAT, TOOLS_CALL = "invoke_agent", "execute_tool", "chat", "tools/call"
STARTED, SESSION_STARTED, TASK_STARTED = "started", "session started", "task started"
LINK_CHILD, LINK_FORK, LINK_CONTINUED = "child_session", "forked_from", "continued_from"
LINK_CANDIDATE, LINK_TASK, LINK_REMOTE = "candidate", "task_call", "remote_parent"
LINK_PARENT, LINK_TURN = "parent_session", "previous_turn"
END_REASONS = ("idle", "inactive", "deleted", "archived", "error", "shutdown", "rollover")

# OpenCode's provider ids -> gen_ai.provider.name (models.dev ids on the left)
PROVIDERS = {
    "amazon-bedrock": "aws.bedrock",
    "anthropic": "anthropic",
    "azure": "azure.ai.openai",
    "azure-cognitive-services": "azure.ai.inference",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "google": "gcp.gemini",
    "google-generative-ai": "gcp.gemini",
    "google-vertex": "gcp.vertex_ai",
    "google-vertex-anthropic": "gcp.vertex_ai",
    "groq": "groq",
    "mistral": "mistral_ai",
    "moonshotai": "moonshot_ai",
    "openai": "openai",
    "perplexity": "perplexity",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}

# span events on a session's span
NOTES = (
    "command.executed",
    "session.compacted",
    "session.error",
    "session.retry",
    "user_prompt",
    "mcp.tools.changed",
    "session.forked",
)

# why a record, or a part of one, was discarded: each reason is a label of a counter
DISCARDS = {
    "unknown_record": "no dialect knows the record",
    "handed_on": "a span that no dialect knows, which passes through",
    "adopted": "a span of an agent whose traces are built again as a whole, without information about a tree",
    "not_of_the_tree": "a known record without information about a session's tree",
    "no_session": "no session id, or one that is not text",
    "no_call": "a call without an id",
    "no_time": "no valid time and no observed time",
    "empty": "a metric point with a count of 0, or without a value",
    "malformed": "a required field is missing or has the wrong type",
    "history": "a fork's copy of its history",
    "already_left": "reported again after its span was sent",
    "already_told": "a copy of a report that is stored already",
    "not_ended": "unfinished when its session closed, with `infer: false`",
    "not_told": "mentioned without time and tool, or a detail of a call that no record reports",
    "cumulative": "a cumulative point of a metric that must be delta",
    "not_monotonic": "a sum that is not monotonic",
    "inconsistent": "a metric point with contradictory or invalid numbers",
    "too_many_series": "a metric series beyond the limit for a session",
    "too_many_spans": "a span beyond the limit below one task call, which is not searched for the call's child",
    "set_aside": "building its request failed repeatedly, so the request was set aside",
    "internal_error": "the dialect failed on the record (a defect; please report it)",
}


def provider_name(provider: str) -> str:
    """The convention's name for a provider of OpenCode (`amazon-bedrock`) or of the AI SDK (`openai.chat`)."""
    return PROVIDERS.get(provider) or PROVIDERS.get(provider.partition(".")[0], provider.partition(".")[0])
