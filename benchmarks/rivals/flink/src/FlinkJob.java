import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.serialization.SimpleStringEncoder;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.connector.file.src.FileSource;
import org.apache.flink.connector.file.src.reader.TextLineInputFormat;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;
import rules.Auth;
import rules.Breaker;
import rules.Clock;
import rules.Event;
import rules.Policy;

/** The job as Flink's documentation writes one: text lines, Jackson, POJOs, one state for each thing, timers. */
public class FlinkJob {
    public static void main(String[] args) throws Exception {
        String input = args[0];
        String output = args[1];
        int slots = Integer.parseInt(args[2]);
        long checkpointMillis = Long.parseLong(args[3]);
        StreamExecutionEnvironment env = environment(output, slots, checkpointMillis);
        FileSource<String> source = FileSource.forRecordStreamFormat(new TextLineInputFormat(), new Path(input)).build();
        env.fromSource(source, WatermarkStrategy.noWatermarks(), "events")
                .map(new Parse())
                .assignTimestampsAndWatermarks(
                        WatermarkStrategy.<Event>forBoundedOutOfOrderness(Duration.ofSeconds(60))
                                .withTimestampAssigner((event, unused) -> event.time / 1000))
                .keyBy(event -> event.workflowId)
                .process(new Detect())
                .sinkTo(FileSink.forRowFormat(new Path(output + "/decisions"), new SimpleStringEncoder<String>()).build());
        env.execute();
        Clock.report();
    }

    static StreamExecutionEnvironment environment(String output, int slots, long checkpointMillis) {
        Configuration configuration = new Configuration();
        configuration.setString("state.backend.type", "hashmap");
        configuration.setString("taskmanager.numberOfTaskSlots", String.valueOf(slots));
        configuration.setString("execution.checkpointing.dir", "file://" + output + "/checkpoints");
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        env.setParallelism(slots);
        if (checkpointMillis > 0) {
            env.enableCheckpointing(checkpointMillis);
        }
        return env;
    }

    static class Parse extends RichMapFunction<String, Event> {
        private transient ObjectReader reader;

        @Override
        public void open(OpenContext context) {
            reader = new ObjectMapper().configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false).readerFor(Event.class);
        }

        private transient boolean begun;

        @Override
        public Event map(String line) throws Exception {
            if (!begun) {
                begun = true;
                Clock.begin();
            }
            return ((Event) reader.readValue(line)).validate();
        }
    }

    static class Detect extends KeyedProcessFunction<String, Event, String> {
        private final Policy policy = new Policy();
        private transient MapState<String, Long> seen;
        private transient MapState<String, Long> ended;
        /** Deadlines of open executions. */
        private transient MapState<String, Long> open;
        /** Executions called stuck that have not come back. */
        private transient MapState<String, Long> stuck;
        private transient ValueState<Auth> auth;
        private transient ValueState<Breaker> breaker;
        private transient ValueState<String> tenant;
        private transient ValueState<Long> cleanup;
        private transient int judged;

        @Override
        public void open(OpenContext context) {
            seen = getRuntimeContext().getMapState(new MapStateDescriptor<>("seen", Types.STRING, Types.LONG));
            ended = getRuntimeContext().getMapState(new MapStateDescriptor<>("ended", Types.STRING, Types.LONG));
            open = getRuntimeContext().getMapState(new MapStateDescriptor<>("open", Types.STRING, Types.LONG));
            stuck = getRuntimeContext().getMapState(new MapStateDescriptor<>("stuck", Types.STRING, Types.LONG));
            auth = getRuntimeContext().getState(new ValueStateDescriptor<>("auth", Auth.class));
            breaker = getRuntimeContext().getState(new ValueStateDescriptor<>("breaker", Breaker.class));
            tenant = getRuntimeContext().getState(new ValueStateDescriptor<>("tenant", Types.STRING));
            cleanup = getRuntimeContext().getState(new ValueStateDescriptor<>("cleanup", Types.LONG));
        }

        @Override
        public void processElement(Event event, Context context, Collector<String> out) throws Exception {
            if (++judged == Clock.STRIDE) {
                Clock.judged(judged);
                judged = 0;
            }
            if (seen.contains(event.eventId)) {
                return;
            }
            seen.put(event.eventId, event.time);
            if (cleanup.value() == null) {
                tenant.update(event.tenantId);
                long at = (event.time + policy.horizon) / 1000 / 3_600_000 * 3_600_000 + 3_600_000;
                cleanup.update(at);
                context.timerService().registerEventTimeTimer(at);
            }
            if (event.opens()) {
                opens(event, context, out);
            } else if (!event.status.equals("queued")) {
                ends(event, context, out);
            }
        }

        private void opens(Event event, Context context, Collector<String> out) throws Exception {
            String execution = event.executionId;
            if (ended.contains(execution)) {
                return;
            }
            if (stuck.contains(execution)) {
                recovered(execution, event.time, context.getCurrentKey(), out);
                return;
            }
            Long before = open.get(execution);
            if (before != null && before <= event.time) {
                settle(event.time, context.getCurrentKey(), out);
                recovered(execution, event.time, context.getCurrentKey(), out);
                return;
            }
            long deadline = event.time + policy.runTimeout;
            open.put(execution, deadline);
            context.timerService().registerEventTimeTimer(timer(deadline));
        }

        private void ends(Event event, Context context, Collector<String> out) throws Exception {
            String execution = event.executionId;
            if (ended.contains(execution)) {
                return;
            }
            ended.put(execution, event.time);
            Long deadline = open.get(execution);
            if (deadline != null && deadline <= event.time) {
                settle(event.time, context.getCurrentKey(), out);
            } else if (deadline != null) {
                open.remove(execution);
                forgetTimer(timer(deadline), context);
            }
            boolean timedOut = event.status.equals("timed_out");
            if (stuck.contains(execution)) {
                if (timedOut) {
                    stuck.remove(execution);
                } else {
                    recovered(execution, event.time, context.getCurrentKey(), out);
                }
            } else if (timedOut) {
                stuck(execution, event.time, context.getCurrentKey(), out);
                stuck.remove(execution);
            }
            if (event.isCounted()) {
                Auth state = auth.value();
                if (state == null) {
                    state = new Auth();
                }
                if (state.onRun(event, policy)) {
                    out.collect(decision("block_for_credentials", context.getCurrentKey(), event.eventId, event.time));
                }
                auth.update(state);
            }
        }

        @Override
        public void onTimer(long timestamp, OnTimerContext context, Collector<String> out) throws Exception {
            settle(timestamp * 1000, context.getCurrentKey(), out);
            Long due = cleanup.value();
            if (due != null && timestamp >= due) {
                forget(seen, due * 1000 - policy.horizon);
                forget(ended, due * 1000 - policy.horizon);
                // At the end of its input Flink's clock goes to the end of time: nothing to forget, no further timer.
                if (seen.isEmpty()) {
                    cleanup.clear();
                } else {
                    cleanup.update(due + 3_600_000);
                    context.timerService().registerEventTimeTimer(due + 3_600_000);
                }
            }
        }

        /** Call stuck what is due, in order of deadline and id. */
        private void settle(long until, String workflow, Collector<String> out) throws Exception {
            List<Map.Entry<String, Long>> due = new ArrayList<>();
            for (Map.Entry<String, Long> one : open.entries()) {
                if (one.getValue() <= until) {
                    due.add(Map.entry(one.getKey(), one.getValue()));
                }
            }
            due.sort(Map.Entry.<String, Long>comparingByValue().thenComparing(Map.Entry.comparingByKey()));
            for (Map.Entry<String, Long> one : due) {
                open.remove(one.getKey());
                stuck(one.getKey(), one.getValue(), workflow, out);
            }
        }

        private void stuck(String execution, long time, String workflow, Collector<String> out) throws Exception {
            stuck.put(execution, time);
            out.collect(decision("execution_stuck", workflow, execution, time));
            Breaker state = breaker.value();
            if (state == null) {
                state = new Breaker();
            }
            if (state.onStuck(execution, time, policy)) {
                out.collect(decision("blacklist_workflow", workflow, execution, time));
            }
            breaker.update(state);
        }

        private void recovered(String execution, long time, String workflow, Collector<String> out) throws Exception {
            stuck.remove(execution);
            out.collect(decision("execution_recovered", workflow, execution, time));
            Breaker state = breaker.value();
            if (state != null) {
                state.onRecovered(execution);
                breaker.update(state);
            }
        }

        /** Two executions may share a timer. */
        private void forgetTimer(long at, Context context) throws Exception {
            for (Long deadline : open.values()) {
                if (timer(deadline) == at) {
                    return;
                }
            }
            context.timerService().deleteEventTimeTimer(at);
        }

        private String decision(String kind, String workflow, String cause, long time) throws Exception {
            return String.join("\t", kind, tenant.value(), workflow, cause, String.valueOf(time));
        }

        private static void forget(MapState<String, Long> times, long until) throws Exception {
            List<String> gone = new ArrayList<>();
            for (Map.Entry<String, Long> one : times.entries()) {
                if (one.getValue() <= until) {
                    gone.add(one.getKey());
                }
            }
            for (String one : gone) {
                times.remove(one);
            }
        }

        private static long timer(long micros) {
            return Math.floorDiv(micros + 999, 1000);
        }

        @Override
        public void close() {
            Clock.judged(judged);
        }
    }
}
