"""Every name that is written, with its source. Names that are read belong to the dialect that reads them.

GenAI and MCP conventions have Development status (open-telemetry/semantic-conventions-genai, schema URL below);
`opencode.*` is this program's own namespace, used only where no convention has a name. OpenInference's names, which are
derived from these, are in core/emission/openinference.py.
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

# gen-ai/mcp.md; the server's name is an open proposal (pull request 437) and what others already send
MCP_METHOD = "mcp.method.name"
MCP_SERVER = "mcp.server.name"

# our own
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

# why a record, or a part of one, became nothing; each is a counter's label
DISCARDS = {
    "unknown_record": "no dialect knows the record",
    "handed_on": "a span that no dialect knows: it is of no tree, and goes on as it came",
    "adopted": "a span of an agent whose traces are built again as a whole: it adds nothing to what is known",
    "not_of_the_tree": "a known record that carries nothing of the tree",
    "no_session": "no session id, or one that is no text",
    "no_call": "a call without an id",
    "no_time": "neither a time of its own nor an observed time",
    "empty": "a metric point that counts nothing",
    "malformed": "a field that is needed has another type than it must have",
    "history": "a fork's copy of what happened before it began",
    "already_left": "told again after its span had left",
    "already_told": "a copy of a report that is held already",
    "not_ended": "unfinished when its session closed, and nothing may be inferred",
    "not_told": "named only in passing: no time and no kind, or said of a call that could not be told",
    "cumulative": "a cumulative point of a metric that is read as deltas",
    "not_monotonic": "a sum that may fall: it does not count",
    "inconsistent": "a metric point whose numbers contradict one another, or are none that can be counted",
    "too_many_series": "a metric series beyond the number that is kept of a session",
    "too_many_spans": "below one task call; what the others state of its child is not looked up",
    "set_aside": "its request failed every time that it was built, and was put aside",
    "internal_error": "the dialect failed on the record (a defect: please report it)",
}


def provider_name(provider: str) -> str:
    """The convention's name of a provider that OpenCode (`amazon-bedrock`) or the AI SDK (`openai.chat`) names."""
    return PROVIDERS.get(provider) or PROVIDERS.get(provider.partition(".")[0], provider.partition(".")[0])
