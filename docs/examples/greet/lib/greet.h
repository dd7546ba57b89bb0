#ifndef GREET_H
#define GREET_H

/* Prints a greeting to the one named, with a line end. */
void greet(const char *name);

#endif
