/* The same tests over the copy of the loops that uses no wide vectors, whatever this processor has. */
#define RT_NARROW
#include "../g711.c"

#include "test_g711.c"
