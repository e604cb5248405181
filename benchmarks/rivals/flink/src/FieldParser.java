import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.time.LocalDate;
import java.util.Map;
import rules.Event;

/** Reads the needed fields of one JSON object from bytes; the rest is checked to be JSON and passed over. */
class FieldParser {
    private static final Map<String, String> STATUSES =
            Map.of("started", "started", "success", "success", "failure", "failure", "running", "running",
                    "queued", "queued", "cancelled", "cancelled", "timed_out", "timed_out");
    private final JsonFactory factory = new JsonFactory();
    private String day = "";
    private long dayMicros;

    Event parse(byte[] bytes, int begin, int end) throws IOException {
        Event event = new Event();
        try (JsonParser json = factory.createParser(bytes, begin, end - begin)) {
            if (json.nextToken() != JsonToken.START_OBJECT) {
                throw new IOException("not an object");
            }
            String name;
            while ((name = json.nextFieldName()) != null) {
                JsonToken token = json.nextToken();
                switch (name) {
                    case "event_id" -> event.eventId = id(json);
                    case "status" -> event.status = STATUSES.get(json.getText());
                    case "occurred_at" -> event.time = time(json.getText());
                    case "tenant_id" -> event.tenantId = id(json);
                    case "automation_version_id" -> event.versionId = id(json);
                    case "workflow_id" -> event.workflowId = id(json);
                    case "execution_id" -> event.executionId = id(json);
                    case "system_key" -> event.systemKey = json.getText();
                    case "http_status" -> event.httpStatus = json.getIntValue();
                    default -> {
                        if (token.isStructStart()) {
                            json.skipChildren();
                        }
                    }
                }
            }
        }
        if (event.status == null || event.eventId == null || event.tenantId == null || event.versionId == null
                || event.workflowId == null || event.executionId == null || event.time == 0) {
            throw new IOException("a required field is missing");
        }
        return event;
    }

    private static String id(JsonParser json) throws IOException {
        String value = json.getText();
        if (value.isEmpty() || value.length() > 128) {
            throw new IOException("not an id");
        }
        return value;
    }

    /** `2026-01-05T00:00:00[.ffffff]Z`, in microseconds; other offsets take the library's way. */
    private long time(String text) throws IOException {
        int length = text.length();
        if (length < 20 || text.charAt(length - 1) != 'Z' || text.charAt(10) != 'T') {
            return java.time.OffsetDateTime.parse(text).toInstant().toEpochMilli() * 1000;
        }
        if (!text.regionMatches(0, day, 0, 10)) {
            day = text.substring(0, 10);
            dayMicros = LocalDate.parse(day).toEpochDay() * 86_400_000_000L;
        }
        if (text.charAt(13) != ':' || text.charAt(16) != ':') {
            throw new IOException("not a time");
        }
        long seconds = digits(text, 11, 13) * 3600 + digits(text, 14, 16) * 60 + digits(text, 17, 19);
        long micros = 0;
        if (length > 20) {
            int last = Math.min(length - 1, 26);
            micros = digits(text, 20, last);
            for (int missing = 26 - last; missing > 0; missing--) {
                micros *= 10;
            }
        }
        return dayMicros + seconds * 1_000_000 + micros;
    }

    private static long digits(String text, int from, int to) throws IOException {
        long value = 0;
        for (int at = from; at < to; at++) {
            int digit = text.charAt(at) - '0';
            if (digit < 0 || digit > 9) {
                throw new IOException("not a time");
            }
            value = value * 10 + digit;
        }
        return value;
    }
}
