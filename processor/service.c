#include "processor/service.h"

#include "common/app/lifecycle.h"

void service_fail(struct service *service, enum status status, const struct detail *detail)
{
    int none = STATUS_OK;
    /* INTERRUPTED marks the place as taken while the detail is written. */
    if (!atomic_compare_exchange_strong(&service->failure, &none, STATUS_INTERRUPTED))
        return;
    service->failure_detail = *detail;
    atomic_store(&service->failure, (int)status);
    lifecycle_stop();
}
