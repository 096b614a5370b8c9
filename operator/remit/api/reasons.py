"""Every reason word: the same in condition, event, metric, evidence, CLI and test. Imports nothing heavy."""

from enum import StrEnum


class RunReason(StrEnum):
    """Reasons of an AgentRun (design: the table of run reasons)."""

    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    DENIED = "Denied"
    POLICY_VIOLATION = "PolicyViolation"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    REVOKED = "Revoked"
    CANCELLED = "Cancelled"
    OUTCOME_UNKNOWN = "OutcomeUnknown"


UNDER_WAY_RUN_REASONS = frozenset({RunReason.PENDING, RunReason.STARTING, RunReason.RUNNING, RunReason.SUSPENDED})
FINAL_RUN_REASONS = frozenset(RunReason) - UNDER_WAY_RUN_REASONS


class ObjectReason(StrEnum):
    """Reasons of Agent, ToolGrant and Policy."""

    READY = "Ready"
    PROGRESSING = "Progressing"
    DRAFT = "Draft"
    SUSPENDED = "Suspended"
    RETIRED = "Retired"
    REVOKED = "Revoked"
    EXPIRED = "Expired"
    NO_POLICY = "NoPolicy"
    NO_BUDGET = "NoBudget"
    MODEL_NOT_GRANTED = "ModelNotGranted"
    IMAGE_NOT_PINNED = "ImageNotPinned"
    INVALID_RULE = "InvalidRule"
    INVALID_SCHEMA = "InvalidSchema"
    INVALID_SPEC = "InvalidSpec"
    SECRET_NOT_READABLE = "SecretNotReadable"
    SECRET_KEY_MISSING = "SecretKeyMissing"
    HOST_NOT_ALLOWED = "HostNotAllowed"
    NAMESPACE_SELECTOR_NOT_ALLOWED = "NamespaceSelectorNotAllowed"
    GATEWAY_NOT_READY = "GatewayNotReady"
    NETWORK_POLICY_NOT_ENFORCED = "NetworkPolicyNotEnforced"
    NODE_REACHABLE = "NodeReachable"
    NODE_CLOSED = "NodeClosed"
    RUNTIME_CLASS_NOT_ALLOWED = "RuntimeClassNotAllowed"
    RESOURCES_NOT_ALLOWED = "ResourcesNotAllowed"


class CallReason(StrEnum):
    """Why the gateway let a call through or refused it."""

    ALLOWED = "Allowed"
    UNAUTHENTICATED = "Unauthenticated"
    RUN_NOT_FOUND = "RunNotFound"
    RUN_NOT_ACTIVE = "RunNotActive"
    RUN_SUSPENDED = "RunSuspended"
    RUN_ALREADY_EXECUTED = "RunAlreadyExecuted"
    AUTHORITY_STALE = "AuthorityStale"
    BUNDLE_MISSING = "BundleMissing"
    REVOKED = "Revoked"
    MALFORMED = "Malformed"
    TOO_LARGE = "TooLarge"
    HEADER_MISMATCH = "HeaderMismatch"
    UNSUPPORTED_VERSION = "UnsupportedVersion"
    UNKNOWN_METHOD = "UnknownMethod"
    TOOL_NOT_GRANTED = "ToolNotGranted"
    GRANT_SUSPENDED = "GrantSuspended"
    GRANT_EXPIRED = "GrantExpired"
    PURPOSE_NOT_GRANTED = "PurposeNotGranted"
    INVALID_ARGUMENTS = "InvalidArguments"
    INVALID_SCHEMA = "InvalidSchema"
    INVALID_RULE = "InvalidRule"
    CONSTRAINT_VIOLATED = "ConstraintViolated"
    POLICY_DENIED = "PolicyDenied"
    NO_RULE_MATCHED = "NoRuleMatched"
    RULE_ERROR = "RuleError"
    APPROVAL_UNAVAILABLE = "ApprovalUnavailable"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    ITERATIONS_EXHAUSTED = "IterationsExhausted"
    HANDED_OVER = "HandedOver"
    UNBOUNDED_CONTENT = "UnboundedContent"
    UNKNOWN_PRICE = "UnknownPrice"
    KEY_REUSED = "KeyReused"
    LEDGER_UNAVAILABLE = "LedgerUnavailable"
    SECRET_NOT_READABLE = "SecretNotReadable"
    SECRET_KEY_MISSING = "SecretKeyMissing"
    HOST_NOT_ALLOWED = "HostNotAllowed"
    UPSTREAM_UNREACHABLE = "UpstreamUnreachable"
    UPSTREAM_TIMEOUT = "UpstreamTimeout"
    UPSTREAM_MALFORMED = "UpstreamMalformed"
    UPSTREAM_REDIRECTED = "UpstreamRedirected"
    UPSTREAM_ERROR = "UpstreamError"
    OUTCOME_UNKNOWN = "OutcomeUnknown"
    RESULT_REFUSED = "ResultRefused"
    VIOLATIONS_EXHAUSTED = "ViolationsExhausted"


class StopReason(StrEnum):
    """Why the harness left its loop."""

    ANSWERED = "Answered"
    STOP_REQUESTED = "StopRequested"
    BUDGET_LOW = "BudgetLow"
    ITERATIONS = "IterationsExhausted"
    MODEL_FAILED = "ModelFailed"
    REFUSED = "Refused"
