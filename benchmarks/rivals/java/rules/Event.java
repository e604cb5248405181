package rules;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import java.time.Instant;
import java.time.OffsetDateTime;

/** A run event: the fields that the job reads. Public fields, so that an engine's own serializers can see them. */
@JsonIgnoreProperties(ignoreUnknown = true)
public class Event {
    @JsonProperty("event_id") public String eventId;
    public String status;
    @JsonProperty("occurred_at") public String occurredAt;
    @JsonProperty("tenant_id") public String tenantId;
    @JsonProperty("automation_version_id") public String versionId;
    @JsonProperty("workflow_id") public String workflowId;
    @JsonProperty("execution_id") public String executionId;
    @JsonProperty("system_key") public String systemKey;
    @JsonProperty("http_status") public int httpStatus;
    /** Microseconds since the epoch; set by {@link #validate}. */
    public long time;

    /** Check what must be there and read the time. */
    public Event validate() {
        if (!id(eventId) || !id(tenantId) || !id(versionId) || !id(workflowId) || !id(executionId) || status == null) {
            throw new IllegalArgumentException("a required field is missing or too long");
        }
        Instant instant = OffsetDateTime.parse(occurredAt).toInstant();
        time = instant.getEpochSecond() * 1_000_000 + instant.getNano() / 1000;
        return this;
    }

    private static boolean id(String value) {
        return value != null && !value.isEmpty() && value.length() <= 128;
    }

    public boolean opens() {
        return status.equals("started") || status.equals("running");
    }

    public boolean isSuccess() {
        return status.equals("success");
    }

    public boolean isFailure() {
        return status.equals("failure");
    }

    /** Whether the run counts in the window: ended, and not cancelled. */
    public boolean isCounted() {
        return isSuccess() || isFailure() || status.equals("timed_out");
    }

    public boolean isAuthFailure() {
        return httpStatus == 401 && isFailure();
    }

    public String system() {
        return systemKey == null ? "unknown" : systemKey;
    }
}
