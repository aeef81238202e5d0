# The processor under a debugger from its start to its first refusal; prints each command it runs.
#   gdb -q -batch -x docs/examples/refusal.gdb --args weir-processor run --store store ...
set pagination off
set confirm off
set print thread-events off
set print frame-info short-location
set print frame-arguments presence
handle SIGTERM SIGPIPE nostop noprint pass
set trace-commands on
tbreak state_new
run
finish
set var $state = $
watch -location $state->position.last_event_id
continue
delete
break state_apply if decision->kind == DECISION_REFUSE
continue
print decision->reason
print decision->retry_after_ns
print $state->limiters[0].quota
print $state->limiters[0].accepted_now
print $state->position.last_event_id
print $state->sources.items[0].last_sequence
finish
print $state->position.last_event_id
print $state->sources.items[0].last_sequence
delete
detach
