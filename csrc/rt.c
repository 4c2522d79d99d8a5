#include "rt.h"

const char *rt_status_text(int status)
{
    switch (status) {
    case RT_OK: return "ok";
    case RT_BAD_ARGUMENT: return "bad argument";
    case RT_FULL: return "full";
    case RT_SYSTEM: return "refused by the system";
    default: return "unknown status";
    }
}
